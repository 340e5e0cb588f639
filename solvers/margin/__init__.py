"""Max margin in a norm or quasi-norm, one file each: ℓ2, ℓ1, Fourier ℓ1, bridges."""
