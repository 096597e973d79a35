"""The destination process: what arrives is reassembled, loaded and verified here."""
