"""The example that this library grew out of, in current TensorFlow and Keras.

Trains a layer f(x) = relu(x W + b) with 10 inputs and 5 outputs, with all
weights initialised from N(0, 1), to maximise its mean output: 1000 Adam steps,
each on ten new inputs from N(0, 1). From the root of the project:

    python -m examples.original_example
"""

import keras
import tensorflow as tf

import meta_tf

INPUTS, OUTPUTS, BATCH, STEPS = 10, 5, 10, 1000


def main() -> None:
    """Trains, and prints the loss of every hundredth step."""
    model = keras.Sequential([keras.Input([INPUTS]), meta_tf.layers.MetaDense(OUTPUTS)])
    optimizer = keras.optimizers.Adam(learning_rate=1e-3, epsilon=1e-8)
    optimizer.build(model.trainable_variables)

    @tf.function
    def train_step(x):
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(model(x, training=True))
        optimizer.apply(tape.gradient(loss, model.trainable_variables))
        return loss

    for step in range(STEPS):
        loss = train_step(tf.random.normal([BATCH, INPUTS]))
        if step % 100 == 0:
            print(f"step {step}, loss {loss:.4f}")


if __name__ == "__main__":
    main()
