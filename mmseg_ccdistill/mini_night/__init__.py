"""Mini night: a rendered day-night benchmark in the layouts of Cityscapes and Dark Zurich."""

from .frames import plan_frames
from .render import VERSION, View, render_scene
from .world import CLASSES, World, make_world
from .writer import write_mini_night

__all__ = [
    'CLASSES',
    'VERSION',
    'View',
    'World',
    'make_world',
    'plan_frames',
    'render_scene',
    'write_mini_night',
]
