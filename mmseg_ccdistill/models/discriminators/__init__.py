"""Discriminators of adversarial methods."""

from .day_night_discriminator import DayNightDiscriminator

__all__ = ['DayNightDiscriminator']
