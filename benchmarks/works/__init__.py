"""What the tools have to do: a module for each kind of work."""
