"""One sheet of equations per file; each module's `cell` is the value the package exports under the module's name."""
