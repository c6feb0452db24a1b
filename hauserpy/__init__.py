"""hauserpy: gets a company's Fullstory events out of the export API and into its own warehouse."""

__version__ = "0.1.0"
