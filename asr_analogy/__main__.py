"""`python -m asr_analogy`: the command line, as a launcher of several processes calls it."""

from asr_analogy.cli import main

if __name__ == "__main__":
    main()
