"""`tollkeeper doctor`: looks at an installation from outside and says what to do about what is wrong."""
