"""python -m seewhy: the command line."""

from seewhy.cli import main

if __name__ == "__main__":
    main()
