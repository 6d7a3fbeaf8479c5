"""The figures of a study, one file each; `drawing` has what they share."""
