"""Pictures from arrays. Nothing here knows of explanations, models or frameworks."""
