package quality

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// curve is one line of a plot: a value for each place on the x axis, NaN where
// there is none.
type curve struct {
	name string
	y    []float64
}

// colors tell curves apart for colour-blind eyes, too (Okabe and Ito, 2008).
func colors() []string {
	return []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"}
}

// plot draws curves over named places as an SVG image; y runs from 0 to 1.
func plot(title, xTitle string, places []string, curves []curve) string {
	const (
		width, height       = 720, 360
		left, right         = 52, 190
		top, bottom         = 40, 52
		plotWidth           = width - left - right
		plotHeight          = height - top - bottom
		steps               = 5
		font                = `font-family="sans-serif" font-size="12"`
		grey, ink, lightInk = "#e4e4e4", "#222222", "#555555"
	)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s">`+"\n",
		width, height, width, height, xmlText(title))
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", width, height)
	fmt.Fprintf(&b, `<text x="%d" y="22" %s font-weight="bold" fill="%s">%s</text>`+"\n", left, font, ink, xmlText(title))
	x := func(i int) float64 {
		if len(places) < 2 {
			return left
		}
		return left + plotWidth*float64(i)/float64(len(places)-1)
	}
	y := func(v float64) float64 { return top + plotHeight*(1-v) }
	for i := range steps + 1 {
		v := float64(i) / steps
		fmt.Fprintf(&b, `<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="%s"/>`+"\n", left, y(v), left+plotWidth, y(v), grey)
		fmt.Fprintf(&b, `<text x="%d" y="%.1f" %s fill="%s" text-anchor="end">%.1f</text>`+"\n", left-8, y(v)+4, font, lightInk, v)
	}
	for i, p := range places {
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" %s fill="%s" text-anchor="middle">%s</text>`+"\n", x(i), top+plotHeight+20, font, lightInk, xmlText(p))
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" %s fill="%s" text-anchor="middle">%s</text>`+"\n", left+plotWidth/2, height-12, font, ink, xmlText(xTitle))
	for i, c := range curves {
		color := colors()[i%len(colors())]
		var points []string
		for j, v := range c.y {
			if !math.IsNaN(v) {
				points = append(points, fmt.Sprintf("%.1f,%.1f", x(j), y(v)))
			}
		}
		fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(points, " "), color)
		for _, p := range points {
			px, py, _ := strings.Cut(p, ",")
			fmt.Fprintf(&b, `<circle cx="%s" cy="%s" r="3" fill="%s"/>`+"\n", px, py, color)
		}
		ly := top + 14 + 20*i
		fmt.Fprintf(&b, `<line x1="%d" y1="%d" x2="%d" y2="%d" stroke="%s" stroke-width="2"/>`+"\n", left+plotWidth+14, ly-4, left+plotWidth+34, ly-4, color)
		fmt.Fprintf(&b, `<text x="%d" y="%d" %s fill="%s">%s</text>`+"\n", left+plotWidth+40, ly, font, ink, xmlText(c.name))
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func xmlText(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace(s)
}

// draw writes a plot beside the page and returns the reference to it.
func draw(t *testing.T, dir, name, title, xTitle string, places []string, curves []curve) string {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name+".svg"), []byte(plot(title, xTitle, places, curves)), 0o644); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("![%s](quality/%s.svg)\n\n", title, name)
}

func TestPlot(t *testing.T) {
	svg := plot("a < b", "x", []string{"1", "64"}, []curve{{"one", []float64{0, 1}}, {"two", []float64{math.NaN(), 0.5}}})
	for _, want := range []string{"a &lt; b", `points="52.0,308.0 530.0,40.0"`, `points="530.0,174.0"`, "</svg>"} {
		if !strings.Contains(svg, want) {
			t.Errorf("the plot lacks %s:\n%s", want, svg)
		}
	}
}
