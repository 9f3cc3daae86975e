"""What runs in the processes that are measured: meta_tf, and the same for other libraries.

Each is written as it runs fastest there. A module here has `build(work, settings)`, which
returns an object with

    run(steps)    makes outer steps and returns when the last one is done
    agree()       (loss, meta-gradients) of the first step, in Keras's layout
    new_task()    new tasks, from support sets to predictions, where that is asked;
                  `settings["serve"]` of them at once

`benchmarks.harness.contenders` tells the settings to choose from.
"""
