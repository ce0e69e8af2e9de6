"""Networks that tell domains apart."""

from .output_discriminator import OutputDiscriminator

__all__ = ['OutputDiscriminator']
