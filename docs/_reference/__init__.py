"""The pages of docs/reference/, one module each: ``pages()`` gives path -> text."""
