"""The programs in the measured processes: meta_tf, and the same for other libraries.

Each is written in the way that is fastest in its library. A module here has
`build(work, settings)`, which returns an object with

    run(steps)    runs outer steps and returns when the last one is done
    agree()       (loss, meta-gradients) of the first step, in Keras's layout
    new_task()    new tasks, from support sets to predictions, if needed;
                  `settings["serve"]` of them at once

`benchmarks.harness.contenders` lists the settings to choose from.
"""
