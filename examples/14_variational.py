"""Classify emoji of four artists from few labels, with the uncertainty of each prediction."""

import gymnasium as gym
import numpy as np

from mtlgym.problems.predictive import predict

SHIFTS = (0.05, 0.2)  # of every feature, by an attack
SMALL = {"steps": 60, "hidden": 64, "latent": 32, "samples": 4, "validate_steps": 20}

env = gym.make("mtlgym:MTL-Emoji-v0", model="vmtl", attack=SHIFTS, actions="weights", **SMALL)
env.reset(seed=0)
done = False
while not done:
    *_, terminated, truncated, info = env.step(np.ones(4, np.float32))  # equal weights
    done = terminated or truncated

training = env.unwrapped
problem, model = training.problem, training.episode.learner.model
figures = training.evaluate("test")
for task in problem.tasks:
    names = ("accuracy", "nll", "ece", *(f"accuracy_fgsm_{shift:g}" for shift in SHIFTS))
    print(f"{task:26}", ", ".join(f"{name} {figures[f'{task}/{name}']:.2f}" for name in names))

for name, weights in problem.findings(model)["relatedness"].items():
    print(f"how much each artist's prior of {name} takes from the others\n{np.round(weights, 2)}")

test = problem.splits["test"]
found = predict(model.eval(), test.features[0][:4], 0, draws=100)
for sample, chosen in enumerate(found.probabilities.argmax(dim=1).tolist()):
    print(
        f"class {test.labels[0][sample]:2}, predicted {chosen:2}: probability "
        f"{found.probabilities[sample, chosen]:.2f} +- {found.deviation[sample, chosen]:.2f}, "
        f"entropy {found.entropy[sample]:.2f}, of which draws {found.information[sample]:.2f} nats"
    )
