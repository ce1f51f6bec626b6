"""`make report`: the live data as one self-contained page and as pictures, to look at and to mail around."""
