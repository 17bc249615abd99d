"""Stable-Baselines3's PPO on thirty-two bandits at once, stepped as arrays."""

import gymnasium as gym
from gymnasium.vector import AutoresetMode
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecMonitor

from mtlgym.agents import SB3VecEnv

bandits = gym.make_vec(
    "mtlgym:MTL-Bandit-v0",
    num_envs=32,
    steps=50,
    arms=4,
    oracle=[0.5, 0.3, 0.15, 0.05],
    autoreset_mode=AutoresetMode.SAME_STEP,  # what Stable-Baselines3 expects
)
env = VecMonitor(SB3VecEnv(bandits), info_keywords=("mean_score",))
settings = {"n_steps": 50, "batch_size": 200, "learning_rate": 3e-3, "stats_window_size": 32}
model = PPO("MlpPolicy", env, seed=0, device="cpu", **settings)
for episode in range(8):
    model.learn(total_timesteps=32 * 50, reset_num_timesteps=False)
    scores = [each["mean_score"] for each in model.ep_info_buffer]  # of the last 32 episodes
    print(f"episode {episode + 1}: mean score {sum(scores) / len(scores):.3f}")
