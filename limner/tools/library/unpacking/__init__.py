"""Copy the pictures of archives and Parquet files into a library's own folder, in a process with limits.

The files are untrusted, and some are read by native code: a reader that crashes or allocates without end ends its own
process, and the library stays as it was.
"""
