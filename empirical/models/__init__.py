"""One file per architecture that the project trains itself."""
