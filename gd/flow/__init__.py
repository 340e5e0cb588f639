"""Where gradient flow ends for losses of exponential type: integrated in normalized coordinates, finished by Newton."""
