"""What there is to be told of a prefix: values, which the command line prints."""
