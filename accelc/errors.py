"""The exceptions that accelc raises for bad input; the command line prints their message and exits with status 2.

::

    AccelcError
    +-- ModelError         the ONNX file cannot be read, checked or given static shapes
    |   +-- UnsupportedError   an operator, attribute or type that no layer expresses
    +-- ChipError          a chip description with an unknown key or an impossible value
    +-- ScheduleError      a layer for which no tile fits the chip
    |   +-- MappingError       a mapping by hand with an unknown key or layer, or a value that breaks a rule
    +-- IsaError           an operand out of range, an unknown opcode, a line that does not assemble
    +-- ProgramError       a damaged, truncated, foreign or newer program file
    +-- MachineError       an instruction outside its buffer, or a deadlock
    +-- InputError         a run's inputs do not fit the model, or an output cannot be written
"""


class AccelcError(Exception):
    """Bad input: the message names the value and the rule it breaks."""


class ModelError(AccelcError):
    """The ONNX model cannot be read, checked or given static shapes."""


class UnsupportedError(ModelError):
    """An operator, attribute or type that no layer expresses; the message says what would work."""


class ChipError(AccelcError):
    """A chip description with an unknown key, a missing key or an impossible value."""


class ScheduleError(AccelcError):
    """A layer for which no tile fits the chip's buffers."""


class MappingError(ScheduleError):
    """A mapping by hand that cannot be read, names no layer, or breaks a rule; the message names the key."""


class IsaError(AccelcError):
    """An operand out of range, an unknown opcode, or a line that does not assemble."""


class ProgramError(AccelcError):
    """A program file that is damaged, truncated, foreign, newer, or built for another chip."""


class MachineError(AccelcError):
    """An instruction reaches outside its buffer, or the queues wait for each other for ever."""


class InputError(AccelcError):
    """The inputs of a run do not fit the model, or an output cannot be written."""
