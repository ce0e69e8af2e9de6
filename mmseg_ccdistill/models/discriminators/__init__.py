"""Networks that tell domains apart."""

from .day_night_discriminator import DayNightDiscriminator
from .output_discriminator import OutputDiscriminator

__all__ = ['DayNightDiscriminator', 'OutputDiscriminator']
