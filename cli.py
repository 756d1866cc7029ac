"""Front door of a checkout: `python cli.py ...` is `msvit-energy ...`."""

from msvit_energy.__main__ import main

if __name__ == "__main__":
    main()
