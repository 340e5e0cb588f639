r"""Stopping early is a filter
==========================

Gain of each frequency after t steps of gradient descent on a two-layer convolutional generator (signal length 64,
Gaussian interpolation kernel of width 0.05 of the length, step :math:`1/\sigma_{\max}^2`). Lines:
:math:`1 - (1 - \eta\sigma^2)^t`. Dots: what a network with 2,048 channels did to a signal with energy at every
frequency.
"""

import matplotlib.pyplot as plt
import numpy as np

from gd import TwoLayerGenerator, descend_image
from solvers import dual_kernel, early_stopping_filter, gaussian_kernel

u = gaussian_kernel(64, 0.05)
kernel = dual_kernel(u)
step, times = 1 / kernel.largest, [1, 10, 100]
impulse = np.eye(1, 64).ravel()
network = TwoLayerGenerator(64, k=2048, kernel=u, seeds=(0,), scale=10.0)
path = descend_image(network, impulse, steps=times[-1], step=step, reduction="half_sum", snapshots=times)
figure, axes = plt.subplots(layout="constrained")
frequency = np.arange(33)
for number, t in enumerate(times):
    output = path.outputs[path.steps.tolist().index(t), 0]
    axes.plot(frequency, early_stopping_filter(kernel, step, t).gains[:33], f"C{number}", label=f"t = {t}")
    axes.plot(frequency, (np.fft.rfft(output) / np.fft.rfft(impulse)).real, f"C{number}.")
axes.set(xlabel="frequency [cycles per length]", ylabel="gain")
axes.legend()
plt.show()
