"""`python -m upbrush` is `upbrush`."""

from upbrush.cli import main

if __name__ == "__main__":
    main()
