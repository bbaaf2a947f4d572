"""CIFAR-100."""

from torchvision import datasets

from energy_at.data.cifar10 import CIFAR10

_NAMES = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish
forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle
mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe whale
willow_tree wolf woman worm
"""


class CIFAR100(CIFAR10):
    """CIFAR-100: 50,000 training and 10,000 test images of 32x32 pixels in a hundred fine classes (Krizhevsky 2009).

    Augmentation: crops of 32 after padding by 4, and flips. See ``InMemoryData`` for the arguments.
    """

    dataset = datasets.CIFAR100
    location = "cifar-100-python"
    num_classes = 100
    mean = (0.5071, 0.4865, 0.4409)
    std = (0.2673, 0.2564, 0.2762)
    class_names: tuple[str, ...] = tuple(_NAMES.split())
