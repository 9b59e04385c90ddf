// Filled by the readers' own tests.
