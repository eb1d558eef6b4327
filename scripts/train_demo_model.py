"""Builds the demo model from scratch: corpus, tokenizer, training, and the shipped folder.

    python -m scripts.train_demo_model

It may be interrupted at any time; the same command continues from the last checkpoint.
"""

import argparse
from pathlib import Path

import torch

from scripts.demo_model.curve import draw_curve
from scripts.demo_model.model import new_model, save_model
from scripts.demo_model.tokenizer import load_encoder, train_tokenizer
from scripts.demo_model.training import Progress, Settings, Training

FOLDER = Path("workers/demo")
WORK = Path("build/demo_model")


def main() -> None:
    """Train, and write the folder."""
    parser = argparse.ArgumentParser(description="Build the demo model.")
    parser.add_argument(
        "--out", type=Path, default=FOLDER, help="the folder to write (%(default)s)"
    )
    parser.add_argument("--work", type=Path, default=WORK, help="for resuming (%(default)s)")
    parser.add_argument("--steps", type=int, default=Settings().steps)
    parser.add_argument("--seed", type=int, default=Settings().seed)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()

    torch.set_num_threads(1)  # for each of the two halves of a batch
    args.out.mkdir(parents=True, exist_ok=True)
    args.work.mkdir(parents=True, exist_ok=True)
    settings = Settings(seed=args.seed, steps=args.steps)

    if not (args.work / "tokenizer.model").exists():
        print("training the tokenizer", flush=True)
        train_tokenizer(args.work, settings.seed)
    encoder = load_encoder(args.work)
    training = Training(
        new_model(settings.seed), encoder.encode, settings, args.work, torch.device(args.device)
    )
    progress = Progress(settings.steps)
    for point in training.run():
        progress.show(point)
    for name in ("tokenizer.model", "tokenizer.json", "tokenizer_config.json"):
        (args.out / name).write_bytes((args.work / name).read_bytes())
    save_model(training.model, args.out)
    draw_curve(training.curve, args.out / "loss.svg")
    print(f"saved {args.out}; score it with: python -m scripts.demo_model.evaluate", flush=True)


if __name__ == "__main__":
    main()
