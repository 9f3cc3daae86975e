"""The same computation written for other libraries, each as it runs fastest there.

A module here has `build(work, settings)`, which returns an object with

    run(steps)    makes outer steps and returns when the last one is done
    agree()       (loss, meta-gradients) of the first step, in Keras's layout
    adapt()       one new task learned, where that is asked

`benchmarks.contenders` tells the settings to choose from.
"""
