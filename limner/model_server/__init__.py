"""One vision-language model behind HTTP. Imports nothing of the rest of limner and is imported by nothing."""
