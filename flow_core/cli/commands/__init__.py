"""One module per command, each with its click command as ``command``; imported when that command is used."""
