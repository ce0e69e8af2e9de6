"""The command ``ccdistill``: names, help, completion and the doctor, without torch or MMSegmentation.

What a subcommand does stands in ``tools`` and ``mmseg_ccdistill``, and is imported when it is called.
"""
