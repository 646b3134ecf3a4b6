"""Services: the rules of the API, without HTTP."""
