// Mounts one of our own modules (assets/) into a NiceGUI element and passes its events on.
export default {
  template: '<div></div>',
  props: { src: String, config: Object },
  async mounted() {
    const module = await import(this.src);
    if (this.gone) return;
    this.inner = module.mount(this.$el, JSON.parse(JSON.stringify(this.config)), (name, detail) => this.$emit(name, detail));
  },
  beforeUnmount() {
    this.gone = true;
    this.inner?.destroy();
  },
};
