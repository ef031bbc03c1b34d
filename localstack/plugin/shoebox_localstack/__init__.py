"""What LocalStack lacks to run Shoebox from package registries alone."""
