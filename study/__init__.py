"""Running a declared sweep: what is left to do, doing it on Ray, and keeping the record."""
