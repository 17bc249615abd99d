"""Labelled images: CIFAR-100, mini-ImageNet, MNIST, Fashion-MNIST, emoji."""
