"""`MetaLearner`, the Keras model of one learned task, and their `.keras` files."""

from meta_tf.learner.meta_learner import MetaLearner as MetaLearner
