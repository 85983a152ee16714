"""The state process: what an event does to memory, in numpy (MODEL.md section 3 in one package).

`apply` is the only writer, `read` gathers what scores and writes nothing. Training, evaluation and the service run
these same functions; they differ only in where the records live (dense arrays, or blobs in Redis/Valkey).
"""
