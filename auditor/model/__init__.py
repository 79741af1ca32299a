"""The nouns: frozen, slotted, keyword-only values of the standard library."""
