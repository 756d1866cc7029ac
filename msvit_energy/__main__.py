"""`python -m msvit_energy` is the command line."""

from msvit_energy.commands import main

main()
