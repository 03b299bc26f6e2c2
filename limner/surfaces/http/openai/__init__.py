"""limner as a model of the OpenAI API, for chat clients."""
