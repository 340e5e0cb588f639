"""What minimizes: methods that know matrices and vectors, never regularizers."""
