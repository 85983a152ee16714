"""What a user of `peregrine compare` can put right.

CompareError
    UnknownModelError    a name that is not in the lineup
    FolderTakenError     the report folder holds a comparison of something else
    NoProfilesError      a model reads profiles, and no file of them is named
"""


class CompareError(Exception):
    """The message says what to do."""


class UnknownModelError(CompareError):
    pass


class FolderTakenError(CompareError):
    pass


class NoProfilesError(CompareError):
    pass
