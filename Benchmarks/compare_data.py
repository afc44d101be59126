"""Pictures a second, one thread: ours beside Pillow, in alternation, on the same JPEG files.

    compare_data.py --latentflow "…/latentflow bench data" [--repetitions N] [--count N] [--json FILE]

Decoding, scaling and cropping; files are in memory.  Pillow runs in this process.
"""

import argparse
import io
import json
import shlex
import subprocess
import tempfile
import time

from PIL import Image, features


def photograph(index, width, height):
    """A picture with the statistics of a photograph: noise at every scale, weaker as it gets finer."""
    picture = Image.new("RGB", (width, height), (128, 128, 128))
    for octave in range(2, 9):
        side = 2**octave
        noise = Image.effect_noise((side * 3, side), 160 / octave).tobytes()
        layer = Image.frombytes("RGB", (side, side), noise).resize((width, height), Image.BICUBIC)
        picture = Image.blend(picture, layer, 0.35)
    return picture


def center_crop_arr(image, size):
    """ADM's centre crop."""
    while min(image.size) >= 2 * size:
        image = image.resize(tuple(x // 2 for x in image.size), resample=Image.BOX)
    scale = size / min(image.size)
    image = image.resize(tuple(round(x * scale) for x in image.size), resample=Image.BICUBIC)
    left, top = (image.size[0] - size) // 2, (image.size[1] - size) // 2
    return image.crop((left, top, left + size, top + size))


def resize_crop(image, size):
    """torchvision's Resize and CenterCrop."""
    short = min(image.size)
    image = image.resize(tuple(x * size // short for x in image.size), resample=Image.BILINEAR)
    left, top = round((image.size[0] - size) / 2), round((image.size[1] - size) / 2)
    return image.crop((left, top, left + size, top + size))


CASES = [
    # name, width, height of the files, side of the result, crop
    ("JPEG 256² to 64²", 256, 256, 64, "adm"),
    ("JPEG 256² to 64²", 256, 256, 64, "torchvision"),
    ("JPEG 500×375 to 256²", 500, 375, 256, "adm"),
    ("JPEG 500×375 to 256²", 500, 375, 256, "torchvision"),
]
CROPS = {"adm": center_crop_arr, "torchvision": resize_crop}


def pillow_rate(files, size, crop):
    begin = time.perf_counter()
    for data in files:
        CROPS[crop](Image.open(io.BytesIO(data)).convert("RGB"), size)
    return len(files) / (time.perf_counter() - begin)


def our_rate(command, folder, size, crop):
    arguments = [folder, "--size", str(size), "--crop", crop, "--repetitions", "1", "--json"]
    output = subprocess.run(command + arguments, check=True, capture_output=True, text=True).stdout
    return json.loads(output)["images_per_second"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--latentflow", required=True)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--json")
    options = parser.parse_args()
    command = shlex.split(options.latentflow)
    print(f"Pillow {Image.__version__}, libjpeg-turbo {features.version('libjpeg_turbo')}; "
          f"{options.count} files, medians of {options.repetitions}, one thread, images/s")
    results = []
    for name, width, height, size, crop in CASES:
        with tempfile.TemporaryDirectory() as folder:
            files = []
            for i in range(options.count):
                path = f"{folder}/{i:05}.jpg"
                photograph(i, width, height).save(path, quality=90)
                with open(path, "rb") as file:
                    files.append(file.read())
            ours, theirs = [], []
            for _ in range(options.repetitions):
                ours.append(our_rate(command, folder, size, crop))
                theirs.append(pillow_rate(files, size, crop))
        middle = options.repetitions // 2
        row = {"case": name, "crop": crop, "ours": sorted(ours)[middle],
               "pillow": sorted(theirs)[middle]}
        row["ratio"] = row["ours"] / row["pillow"]
        results.append(row)
        print(f"{name:22} {crop:12} ours {row['ours']:8.1f}  Pillow {row['pillow']:8.1f}  "
              f"ratio {row['ratio']:.2f}", flush=True)
    if options.json:
        with open(options.json, "w") as file:
            json.dump(results, file, indent=2)


if __name__ == "__main__":
    main()
