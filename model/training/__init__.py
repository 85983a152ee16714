"""Training: a stream read through the state process, with gradient (MODEL.md section 5).

config      the settings of a run                   statistics  what a spec takes from the data
batches     how a stream is cut                     trainer     epochs over a stream
reads       what was seen of users at their moments run_folder  what a run leaves on disk
step        scores, losses and gradients of a step  progress    the terminal's bar
loss, negatives                                     plots       curves.png
"""
