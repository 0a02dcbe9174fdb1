"""Tables and pictures of the README and the documentation, from the records alone."""
