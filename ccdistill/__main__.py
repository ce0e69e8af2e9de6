"""``python -m ccdistill``, which a launcher such as torchrun can start."""

from .command import main

if __name__ == '__main__':
    main()
