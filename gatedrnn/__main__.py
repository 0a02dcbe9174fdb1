"""`python -m gatedrnn` is the command `gatedrnn`."""

from gatedrnn.cli import main

if __name__ == "__main__":
    main()
